import { className } from '../bytes/class-name.ts';
import { NearsightError } from '../protocol/errors.ts';

/**
 * Checks, before anything is started, that this page, frame or worker can start workers that compute. What the browser
 * itself lacks is seen in the worker (`worker/check-browser.ts`).
 *
 * @throws NearsightError `unsupported_device` that says where nearsight runs
 */
export function checkContext(): void {
  const { Worker, isSecureContext, origin } = globalThis as Partial<typeof globalThis>;
  if (!Worker) {
    throw refusal(
      `here (${className(globalThis)}) no Worker can be started. Create it in a page or a dedicated worker`,
    );
  }
  if (!isSecureContext) {
    const cure = 'Serve the page, and those that embed it, from https: or localhost';
    throw refusal(`this is not a secure context, and WebGPU and hashing exist only there. ${cure}`);
  }
  if (origin === 'null') {
    const cure = "Add allow-same-origin to the frame's sandbox, or create it in the page around the frame";
    throw refusal(`the origin here is opaque (a sandbox, a data: URL or a file), so no worker can be started. ${cure}`);
  }
}

/** Directives of a content security policy that can forbid a worker. */
const CURES: Readonly<Record<string, string>> = {
  'worker-src': "Allow it: worker-src 'self'",
  'trusted-types': "Allow the policy that makes the worker's URL: trusted-types nearsight",
  'require-trusted-types-for': "Set assets, and allow the policy that makes the worker's URL: trusted-types nearsight",
};

/** How the sample of a violation by the worker starts: other code of the page may violate the same directives. */
const SAMPLES: Readonly<Record<string, string>> = {
  'trusted-types': 'nearsight',
  'require-trusted-types-for': 'Worker',
};

let violated: string | undefined;

function onViolation({ disposition, effectiveDirective, sample }: SecurityPolicyViolationEvent): void {
  if (disposition !== 'enforce' || !sample.startsWith(SAMPLES[effectiveDirective] ?? '')) return;
  if (effectiveDirective in CURES) violated ??= effectiveDirective;
}

/** From now on, {@link policyRefusal} sees whether the content security policy forbids a worker. */
export function watchPolicy(): void {
  violated = undefined;
  // Not in Node. Adding the same listener again has no effect.
  globalThis.addEventListener?.('securitypolicyviolation', onViolation);
}

/** An `unsupported_device` if the policy has forbidden a worker since {@link watchPolicy}. */
export async function policyRefusal(): Promise<NearsightError | undefined> {
  // The event may come after the error.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const cure = violated && CURES[violated];
  return cure ? refusal(`the content security policy (${violated}) forbids its worker. ${cure}`) : undefined;
}

function refusal(why: string): NearsightError {
  return new NearsightError('unsupported_device', `nearsight needs a browser page or a dedicated worker: ${why}.`);
}
