import { smallestModel } from '../stage/smallest-model.js';
import { isCudaInstalled, loadOnnxRuntime, type NodeDevice, onnxSessionOptions } from './onnxruntime.js';

/** What the stages run on, and in words what that is and why it is not what was asked for. */
export interface DeviceChoice {
  device: Exclude<NodeDevice, 'auto'>;
  backend: string;
}

/**
 * onnxruntime-node does not fall back: where one provider is missing, it throws. So each is tried here.
 *
 * `auto` is CUDA where it is installed, else the processor. WebGPU is taken when it is asked for only: nothing tells
 * a driver in software from a GPU, and that is a hundred times slower than the processor.
 *
 * @throws TandemError ENGINE_UNAVAILABLE when there is no onnxruntime-node
 */
export async function chooseDevice(asked: NodeDevice = 'cpu'): Promise<DeviceChoice> {
  if (asked === 'cpu') return onProcessor();
  const device = asked === 'auto' ? 'cuda' : asked;
  const failure = await tryDevice(device);
  if (failure === undefined) return { device, backend: `onnxruntime-node ${device}` };
  return onProcessor(`${device}: ${failure}`);
}

export function onProcessor(why?: string): DeviceChoice {
  return { device: 'cpu', backend: why === undefined ? 'onnxruntime-node cpu' : `onnxruntime-node cpu (${why})` };
}

/** Why a session cannot be made there; `undefined` where it can. */
async function tryDevice(device: DeviceChoice['device']): Promise<string | undefined> {
  const runtime = await loadOnnxRuntime();
  if (device === 'cuda' && !isCudaInstalled()) return 'not installed with onnxruntime-node';
  try {
    const session = await runtime.InferenceSession.create(smallestModel(), onnxSessionOptions({ device }));
    await session.release();
    return undefined;
  } catch (cause) {
    return firstLine(cause);
  }
}

/** Native errors run over several lines and begin with places in their source. */
export function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const [line] = text.replace(/^\S+:\d+ .* was false\. /, '').split('\n');
  return line!.trim().slice(0, REASON_CHARS_MAX);
}

const REASON_CHARS_MAX = 200;
