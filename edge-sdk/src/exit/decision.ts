/** Who settles a token. */
export type Mode = 'exact' | 'collaborative' | 'device-only' | 'cloud-only';
export const MODES = ['exact', 'collaborative', 'device-only', 'cloud-only'] as const;

/** `accept`: settled here. `verify`: a draft that the cloud settles. `deeper`: run the next device stage first. */
export type Decision = 'accept' | 'verify' | 'deeper';

/**
 * The one decision behind every mode. `confident`: the policy is sure. `isWorthDrafting`: it is not, but a draft of this
 * exit costs less than the deeper stages would save; its row runs through them later, in one batch with its neighbours.
 */
export function decide(mode: Mode, confident: boolean, isLastExit: boolean, isWorthDrafting = false): Decision {
  if (!confident && !isLastExit && (!isWorthDrafting || mode === 'device-only')) return 'deeper';
  switch (mode) {
    case 'exact':
    case 'cloud-only':
      return 'verify';
    case 'collaborative':
      return confident ? 'accept' : 'verify';
    case 'device-only':
      return 'accept';
  }
}
