// The other clients, apart from the page so that tests which do not need them do not wait for them.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText } from 'ai';

export { ChatOpenAI, createOpenAICompatible, generateText, HumanMessage, streamText };
