import { TandemError } from '@tandem/shared';

/** An address as it is meant here: a worker has another base address than the page. */
export function absolute(address: string): string {
  try {
    return new URL(address, globalThis.document?.baseURI ?? location.href).href;
  } catch (cause) {
    throw new TandemError('INVALID_OPTION', `${address} is not an address; name the bundle's folder`, { cause });
  }
}
