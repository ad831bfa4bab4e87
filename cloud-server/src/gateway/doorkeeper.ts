import { limits } from '@tandem/shared';
import {
  type Admission,
  type AdmissionRules,
  admit,
  credentialOf,
  isAllowedOrigin,
  type UpgradeRequest,
} from './admission.js';
import { isJsonWebToken } from './json-web-tokens.js';

/** Who presents a credential; `busy`: too many are being looked at to say. */
export type Identity = { kind: 'known'; owner: string } | { kind: 'stranger' } | { kind: 'busy' };

/**
 * Admission where a credential may take a while to check: everything else is decided first, and few may wait, at
 * whichever door they stand.
 */
export class Doorkeeper {
  readonly #rules: AdmissionRules;
  #verifications = 0;

  constructor(rules: AdmissionRules) {
    this.#rules = rules;
  }

  async decide(request: UpgradeRequest): Promise<Admission> {
    const decision = admit(request, this.#rules);
    if (!this.#rules.verifyToken || decision.kind === 'admit' || decision.status !== 401) return decision;
    const identity = await this.identify(credentialOf(request));
    if (identity.kind === 'stranger') return decision;
    if (identity.kind === 'known') return admit(request, { ...this.#rules, credentials: () => identity.owner });
    const message = 'many credentials are being checked; try again later';
    return { kind: 'refuse', status: 503, code: 'SERVER_BUSY', message };
  }

  /** A credential of whatever kind. */
  async identify(token: string | undefined): Promise<Identity> {
    const { credentials, verifyToken } = this.#rules;
    const known = credentials(token);
    if (known !== undefined) return { kind: 'known', owner: known };
    if (!verifyToken || token === undefined || !isJsonWebToken(token)) return { kind: 'stranger' };
    if (this.#verifications >= limits.VERIFICATIONS_MAX) return { kind: 'busy' };
    this.#verifications++;
    const owner = await verifyToken(token);
    this.#verifications--;
    return owner === undefined ? { kind: 'stranger' } : { kind: 'known', owner };
  }

  allowsOrigin(origin: string | undefined): boolean {
    return isAllowedOrigin(origin, this.#rules.allowedOrigins);
  }
}
