import type { Device, ModelFacts, Nearsight, StatusValue, Verdict } from 'nearsight';
import { announce, elements } from './elements.ts';
import { failureOf } from './failure.ts';

const DEVICE_NAMES = { webgpu: 'WebGPU', wasm: 'the CPU' } satisfies Record<Device, string>;

/** The name of a device for visitors. */
export function deviceName(device: Device | undefined): string {
  return device ? DEVICE_NAMES[device] : 'this device';
}

/** The content of the status line. */
interface Line {
  text: string;
  /** 0 to 1; null when the total is unknown; undefined when nothing is in progress. */
  progress?: number | null;
  /** The button's label. */
  action?: 'Load now' | 'Try again';
}

/** Shows the status, and lets the visitor load the model before asking. */
export function showStatus(nearsight: Nearsight, model: string): void {
  let verdict: Verdict | undefined;
  let announced: string | undefined;

  const render = (status: StatusValue): void => {
    const line = lineOf(status, verdict, model);
    elements.status.dataset['state'] = status.state === 'ready' && status.active > 0 ? 'answering' : status.state;
    elements.statusText.textContent = line.text;
    elements.statusProgress.hidden = line.progress === undefined;
    if (typeof line.progress === 'number') elements.statusProgress.value = line.progress;
    else elements.statusProgress.removeAttribute('value');
    elements.load.hidden = line.action === undefined;
    elements.load.textContent = line.action ?? '';
    // A load alternates between downloading and preparing; it is announced once.
    const stage = status.state === 'preparing' ? 'downloading' : status.state;
    if (stage !== announced && stage !== 'idle') announce(line.text);
    announced = stage;
  };

  // The status shows a failed load.
  elements.load.addEventListener('click', () => void nearsight.load().catch(() => {}));
  nearsight.status.subscribe(render);
  void nearsight
    .probe()
    .catch((error: unknown): Verdict => ({ verdict: 'no', reason: failureOf(error).detail }))
    .then((found) => {
      verdict = found;
      render(nearsight.status.value);
    });
}

function lineOf(status: StatusValue, verdict: Verdict | undefined, model: string): Line {
  switch (status.state) {
    case 'idle':
      return idleLine(verdict, model);
    case 'downloading': {
      const progress = status.totalBytes > 0 ? status.loadedBytes / status.totalBytes : null;
      const percent = progress === null ? '' : `, ${Math.floor(progress * 100)}\u00a0%`;
      return {
        text: `Loading ${model}: ${megabytes(status.loadedBytes)} of ${megabytes(status.totalBytes)}${percent}`,
        progress,
      };
    }
    case 'preparing': {
      const what = verdict?.device === 'webgpu' ? 'Preparing shaders' : 'Opening the model';
      return {
        text: `${what}: step ${status.done} of ${status.of}`,
        progress: status.of > 0 ? status.done / status.of : null,
      };
    }
    case 'ready':
      return {
        text: status.active > 0 ? `Answering on ${describe(status.facts)}` : `Ready on ${describe(status.facts)}`,
      };
    case 'failed': {
      const { summary, detail } = failureOf(status.error);
      return { text: `${summary} ${detail}`, action: 'Try again' };
    }
    case 'disposed':
      return { text: 'Closed' };
  }
}

function idleLine(verdict: Verdict | undefined, model: string): Line {
  if (!verdict) return { text: 'Not loaded. Checking what this browser can do…' };
  if (verdict.verdict === 'no') return { text: `This browser cannot run ${model}. ${verdict.reason}` };
  const size = verdict.bytes === undefined ? '' : ` (${megabytes(verdict.bytes)}, and its runtime)`;
  const slowly = verdict.verdict === 'slow' ? ', slowly' : '';
  return {
    text: `Not loaded. ${model}${size} will run on ${deviceName(verdict.device)}${slowly}.`,
    action: 'Load now',
  };
}

function describe({ device, hardware, dtype }: ModelFacts): string {
  return `${deviceName(device)} · ${hardware} · ${dtype}`;
}

/** Decimal megabytes, as in browsers' download lists. */
function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
