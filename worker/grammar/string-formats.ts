const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?';
const DOMAIN = `${LABEL}(?:\\.${LABEL}){0,2}\\.[a-z]{2,10}`;
const HEX = '[0-9a-f]';
/** Days that every year has. */
const DATE =
  '\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,3})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';

/** Formats that the standard or its validators know, and that are not enforced here. */
export const STANDARD_FORMATS: ReadonlySet<string> = new Set(
  'idn-email idn-hostname uri-reference iri iri-reference uri-template url json-pointer json-pointer-uri-fragment relative-json-pointer regex'.split(
    ' ',
  ),
);

/**
 * Regular expressions for the values of `format`. They match fewer texts than the standards allow (no 29 February, no
 * compressed IPv6, host names of four labels), and none that the standards do not.
 */
export const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration: 'P(?:\\d{1,4}D(?:T\\d{1,2}H)?|T\\d{1,2}H(?:\\d{1,2}M)?|T\\d{1,2}M|\\d{1,4}W)',
  email: `[a-z0-9]{1,20}(?:[._+-][a-z0-9]{1,20}){0,2}@${DOMAIN}`,
  hostname: DOMAIN,
  ipv4: `${OCTET}(?:\\.${OCTET}){3}`,
  ipv6: `${HEX}{1,4}(?::${HEX}{1,4}){7}`,
  uuid: `${HEX}{8}-${HEX}{4}-[1-8]${HEX}{3}-[89ab]${HEX}{3}-${HEX}{12}`,
  uri: `https?://${DOMAIN}(?:/[A-Za-z0-9._~-]{1,60}){0,6}/?(?:\\?[A-Za-z0-9._~=&-]{1,60})?`,
};
