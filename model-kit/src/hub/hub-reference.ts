import { TandemError } from '@tandem/shared';

/** A model on a hub: `hf:org/name@revision`. */
export interface HubReference {
  name: string;
  /** Branch, tag or commit. */
  revision: string;
}

const PATTERN = /^hf:([\w.-]{1,96}(?:\/[\w.-]{1,96})?)(?:@([\w./-]{1,128}))?$/;

export function isHubReference(text: string): boolean {
  return text.startsWith('hf:');
}

/** @throws TandemError INVALID_OPTION */
export function parseHubReference(text: string): HubReference {
  const [, name, revision = 'main'] = PATTERN.exec(text) ?? [];
  if (name === undefined || /(^|\/)\.\.?(\/|$)/.test(`${name}/${revision}`))
    throw new TandemError('INVALID_OPTION', `"${text}"; write hf:organisation/name or hf:organisation/name@revision`);
  return { name, revision };
}
