import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A browser that is installed here; `CHROMIUM` names another one. */
export const CHROMIUM = process.env.CHROMIUM ?? PLACES.find((path) => existsSync(path));

/** Title of a suite that needs a browser: says why it was skipped. */
export function inChromium(title: string): string {
  return CHROMIUM ? title : `${title} (skipped: no Chromium here; install it, or name it in CHROMIUM)`;
}

/** Containers have neither a user namespace nor a reason to talk to anyone. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** WebGPU on a driver in software: right for correctness, useless for speed. */
export const WEBGPU_ARGUMENTS = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
];

export function launchChromium(extra: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, headless: true, args: [...ARGUMENTS, ...extra] });
}
