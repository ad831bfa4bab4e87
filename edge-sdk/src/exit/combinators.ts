import type { ExitPolicy } from './exit-policy.js';

/** Sure when one of them is. */
export function anyOf(...policies: readonly ExitPolicy[]): ExitPolicy {
  return {
    name: `any of (${policies.map(({ name }) => name).join(' | ')})`,
    isConfident: (evidence) => policies.some((policy) => policy.isConfident(evidence)),
  };
}

/** Sure when all of them are. */
export function allOf(...policies: readonly ExitPolicy[]): ExitPolicy {
  return {
    name: `all of (${policies.map(({ name }) => name).join(' & ')})`,
    isConfident: (evidence) => policies.length > 0 && policies.every((policy) => policy.isConfident(evidence)),
  };
}
