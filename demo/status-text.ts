import type { ModelFacts, StatusValue, Verdict } from 'nearsight';
import { failureOf, refusalOf } from './failure.ts';
import { deviceName, megabytes, percent, termsOf, timeLeft } from './format.ts';
import type { Offer } from './offers.ts';

/** The content of the status line. */
export interface StatusLine {
  text: string;
  /** 0 to 1; null when the total is unknown; undefined when nothing is in progress. */
  progress?: number | null;
  /** The button's label. */
  action?: 'Load now' | 'Download' | 'Resume' | 'Pause' | 'Try again';
}

/** What {@link statusLine} tells about. */
export interface StatusFacts {
  status: StatusValue;
  /** A load was asked for. */
  loading: boolean;
  verdict: Verdict | undefined;
  offer: Offer;
}

/** Says in a line what a model is doing, or would do. */
export function statusLine({ status, loading, verdict, offer }: StatusFacts): StatusLine {
  // A load of a few megabytes is over before anybody could pause it.
  const pause = offer.toy ? {} : { action: 'Pause' as const };
  if (loading && (status.state === 'idle' || status.state === 'failed')) {
    return { text: `Starting ${offer.name}…`, progress: null, ...pause };
  }
  switch (status.state) {
    case 'idle':
      return idleLine(verdict, offer);
    case 'downloading': {
      const { loadedBytes, totalBytes } = status;
      return {
        text: downloadText(status, verdict, offer),
        progress: totalBytes > 0 ? loadedBytes / totalBytes : null,
        ...pause,
      };
    }
    case 'preparing': {
      const what = verdict?.device === 'webgpu' ? 'Preparing shaders' : 'Opening the model';
      return {
        text: `${what}: step ${status.done} of ${status.of}`,
        progress: status.of > 0 ? status.done / status.of : null,
        ...pause,
      };
    }
    case 'ready': {
      const verb = status.active > 0 ? 'Answering' : 'Ready';
      return { text: `${offer.name}: ${verb.toLowerCase()} on ${describe(status.facts)}` };
    }
    case 'failed': {
      const { summary, detail } = failureOf(status.error);
      return { text: `${summary} ${detail}`, action: 'Try again' };
    }
    case 'disposed':
      return { text: 'Closed' };
  }
}

function downloadText(
  { loadedBytes, totalBytes, bytesPerSecond, secondsLeft }: Extract<StatusValue, { state: 'downloading' }>,
  verdict: Verdict | undefined,
  offer: Offer,
): string {
  const stored = offer.toy || isStored(verdict);
  const parts = [
    `${stored ? 'Loading' : 'Downloading'} ${offer.name}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)}`,
    percent(loadedBytes, totalBytes),
  ];
  if (!stored && bytesPerSecond !== undefined) parts.push(`${megabytes(bytesPerSecond)}/s`);
  if (!stored && secondsLeft !== undefined) parts.push(timeLeft(secondsLeft));
  return parts.join(', ');
}

function idleLine(verdict: Verdict | undefined, offer: Offer): StatusLine {
  const { name, toy } = offer;
  if (!verdict) return { text: `${name}: checking what this browser can do…`, action: 'Load now' };
  if (verdict.verdict === 'no') return { text: `This browser cannot run ${name}: ${refusalOf(verdict)}` };
  const { bytes = 0, storedBytes = 0, storage } = verdict;
  const where = `on ${deviceName(verdict.device)}${verdict.verdict === 'slow' ? ', slowly' : ''}`;
  if (toy) return { text: `${name}, a toy of ${megabytes(bytes)}, will run ${where}.`, action: 'Load now' };
  if (isStored(verdict)) return { text: `${name} is stored on this device and will run ${where}.`, action: 'Load now' };
  if (storedBytes > 0) {
    const stored = `${megabytes(storedBytes)} of ${megabytes(bytes)} stored (${percent(storedBytes, bytes)})`;
    return { text: `${name}: paused, ${stored}.`, action: 'Resume' };
  }
  const terms = termsOf(verdict.licence ?? offer.licence);
  const licence = terms === undefined ? '' : ` ${terms}`;
  const asked = verdict.saveData ? ' You asked this browser to save data.' : '';
  const again = storage?.kind === 'memory' ? ' This browser cannot keep it: the next visit downloads it again.' : '';
  return {
    text: `${name}, a download of ${megabytes(bytes)}, will run ${where}.${licence}${asked}${again}`,
    action: 'Download',
  };
}

/** Whether a load downloads nothing. */
export function isStored(verdict: Verdict | undefined): boolean {
  return verdict?.bytes !== undefined && (verdict.storedBytes ?? 0) >= verdict.bytes;
}

function describe({ device, hardware, dtype }: ModelFacts): string {
  return `${deviceName(device)} · ${hardware} · ${dtype}`;
}
