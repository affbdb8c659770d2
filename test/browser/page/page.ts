// What the tests reach from `page.evaluate`: the built package, by its name, and the client that people use with it.
import * as nearsight from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import OpenAI from 'openai';

Object.assign(globalThis, { nearsight, glimpse, OpenAI });
