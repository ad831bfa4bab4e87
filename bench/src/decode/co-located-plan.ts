import type { CoLocatedPlan } from './co-located.js';
import type { Telling } from './telling.js';

/** Ways to speculate inside the cloud that are tried before the one is taken that the baseline runs with. */
export const CO_LOCATED_PLANS: readonly CoLocatedPlan[] = [1, 2].flatMap((exit) =>
  [1, 2, 3, 4, 5, 6, 8].flatMap((draftLength) => [0, 0.3, 0.6].map((floor) => ({ exit, draftLength, floor }))),
);

/** The fastest plan by time per token. The link changes nothing in it, so it is chosen without one. */
export async function fastestPlan(
  plans: readonly CoLocatedPlan[],
  tell: (plan: CoLocatedPlan) => Promise<Telling[]>,
): Promise<CoLocatedPlan> {
  let best = plans[0]!;
  let bestMsPerToken = Number.POSITIVE_INFINITY;
  for (const plan of plans) {
    const tellings = await tell(plan);
    const elapsedMs = tellings.reduce((sum, { settledMs }) => sum + (settledMs.at(-1) ?? 0), 0);
    const tokens = tellings.reduce((sum, telling) => sum + telling.tokens.length, 0);
    if (elapsedMs / tokens >= bestMsPerToken) continue;
    bestMsPerToken = elapsedMs / tokens;
    best = plan;
  }
  return best;
}

export function describePlan({ exit, draftLength, floor }: CoLocatedPlan, plans: number): string {
  return `co-located drafts ${draftLength} from exit ${exit}, stops below ${floor}: the fastest of ${plans} ways`;
}
