import type { StageBatch, StageForward, StageOutput } from './stage.js';
import type { ChainRun } from './stage-chain.js';

/** A chain's run among others. */
export interface GroupMember {
  run: ChainRun;
  /** Index in the model of the chain's first stage, and how many of its stages are to run. */
  firstStage: number;
  depth: number;
}

/**
 * Runs chains of one model together, stage by stage of the model: who has rows for a stage goes through its batch with
 * the others, wherever its chain begins; one alone, or where there is no batch, runs as ever. Returns those that failed.
 */
export async function runTogether<Member extends GroupMember>(
  members: readonly Member[],
  batchOf: (stage: number) => Promise<StageBatch | undefined>,
): Promise<Map<Member, Error>> {
  const failed = new Map<Member, Error>();
  const begin = Math.min(...members.map(({ firstStage }) => firstStage));
  const end = Math.max(...members.map(({ firstStage, depth }) => firstStage + depth));
  for (let stage = begin; stage < end; stage++) {
    const turns: { member: Member; forward: StageForward }[] = [];
    for (const member of members) {
      const index = stage - member.firstStage;
      if (failed.has(member) || index < 0 || index >= member.depth) continue;
      const forward = member.run.next(index);
      if (forward) turns.push({ member, forward });
    }
    const forwards = turns.map(({ forward }) => forward);
    const batch = forwards.length > 1 ? await batchOf(stage) : undefined;
    const outcomes = batch ? await batch.forward(forwards) : await oneByOne(forwards);
    for (const [i, { member }] of turns.entries()) {
      const outcome = outcomes[i]!;
      if (outcome instanceof Error) failed.set(member, outcome);
      else member.run.take(stage - member.firstStage, outcome);
    }
  }
  return failed;
}

async function oneByOne(forwards: readonly StageForward[]): Promise<(StageOutput | Error)[]> {
  const outcomes: (StageOutput | Error)[] = [];
  for (const { stage, input, wanted } of forwards) {
    outcomes.push(await stage.forward(input, wanted).catch((error: Error) => error));
  }
  return outcomes;
}
