/** What {@link trustedURL} uses of a Trusted Types policy. TypeScript's DOM library has no types for them yet. */
interface Policy {
  /** Returns a TrustedScriptURL, which takes the place of the string. */
  createScriptURL(url: string): string;
}

let policy: Policy | undefined;

/**
 * A script's URL as pages with `require-trusted-types-for 'script'` take it: made by a policy with the name `nearsight`,
 * which this thread creates once. Only for the package's own scripts. Elsewhere, and where the page does not allow that
 * policy, the URL itself.
 */
export function trustedURL(url: string): string {
  policy ??= createPolicy();
  return policy.createScriptURL(url);
}

function createPolicy(): Policy {
  const rules: Policy = { createScriptURL: (url) => url };
  const factory: { createPolicy(name: string, rules: Policy): Policy } | undefined = Reflect.get(
    globalThis,
    'trustedTypes',
  );
  try {
    return factory?.createPolicy('nearsight', rules) ?? rules;
  } catch {
    return rules;
  }
}
