import { existsSync } from 'node:fs';

/**
 * WebGPU on a machine without a GPU: Chromium brings a Vulkan loader and a driver in software (SwiftShader), which
 * onnxruntime-node's WebGPU takes. Right for correctness, useless for speed.
 */
const FOLDER = '/usr/lib/chromium';
const DRIVER = `${FOLDER}/vk_swiftshader_icd.json`;

export const HAS_VULKAN = existsSync(DRIVER) && existsSync(`${FOLDER}/libvulkan.so.1`);

/** Native code reads its environment as it was when the process started: vitest.config.ts sets it for the test files. */
export const VULKAN_ENVIRONMENT: Readonly<Record<string, string>> = HAS_VULKAN
  ? { LD_LIBRARY_PATH: FOLDER, VK_ICD_FILENAMES: DRIVER }
  : {};

/** Title of a suite that needs it: says why it was skipped. */
export function onVulkan(title: string): string {
  return HAS_VULKAN ? title : `${title} (skipped: no Vulkan driver in software here; Debian's chromium brings one)`;
}
