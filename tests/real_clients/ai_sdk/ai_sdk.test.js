// Each check is run with the chat and the responses models of @ai-sdk/openai, and with @ai-sdk/openai-compatible.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateObject,
  generateText,
  isStepCount,
  Output,
  streamObject,
  streamText,
  tool,
} from "ai";
import { z } from "zod";

// --8<-- [start:providers]
const openai = createOpenAI(); // with OPENAI_BASE_URL
const compatible = createOpenAICompatible({
  name: "agent",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const MODELS = {
  chat: openai.chat("agent"),
  responses: openai.responses("agent"),
  compatible: compatible("agent"),
};
// --8<-- [end:providers]

const Weather = z.object({ city: z.string(), degrees: z.number() });
const tools = {
  get_weather: tool({
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `21 degrees in ${city}`,
  }),
};
// --8<-- [start:store]
const providerOptions = { openai: { store: false } };
// --8<-- [end:store]
const stopWhen = isStepCount(3);
const onError = () => {};

for (const [name, model] of Object.entries(MODELS)) {
  const options = { model, providerOptions, maxRetries: 0 };

  describe(name, () => {
    test("generateText", async () => {
      const { text, finishReason, usage } = await generateText({ ...options, prompt: "Hello" });

      assert.deepEqual([text, finishReason], ["Hello from the agent.", "stop"]);
      assert.deepEqual([usage.inputTokens, usage.outputTokens], [11, 7]);
    });

    test("streamText", async () => {
      const { textStream, usage } = streamText({ ...options, prompt: "Hello" });

      assert.deepEqual(await Array.fromAsync(textStream), ["Hello ", "from ", "the ", "agent."]);
      assert.equal((await usage).totalTokens, 18);
    });

    test("instructions reach the app", async () => {
      const { text } = await generateText({ ...options, instructions: "be kind", prompt: "How were you instructed?" });

      assert.equal(text, "I was told: be kind");
    });

    test("a tool loop", async () => {
      const { text, steps } = await generateText({ ...options, prompt: "What is the weather?", tools, stopWhen });

      assert.equal(text, "The tool said: 21 degrees in Paris");
      assert.deepEqual(steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
    });

    test("a tool loop with a stream", async () => {
      const result = streamText({ ...options, prompt: "What is the weather?", tools, stopWhen });

      assert.equal(await result.text, "The tool said: 21 degrees in Paris");
      assert.equal((await result.steps).length, 2);
    });

    test("generateObject", async () => {
      const { object } = await generateObject({ ...options, prompt: "Structured", schema: Weather });

      assert.deepEqual(object, { city: "Paris", degrees: 21 });
    });

    test("streamObject", async () => {
      const { partialObjectStream } = streamObject({ ...options, prompt: "Structured", schema: Weather });
      const partial = await Array.fromAsync(partialObjectStream);

      assert.deepEqual(partial.at(-1), { city: "Paris", degrees: 21 });
    });

    test("generateText with an output", async () => {
      const output = Output.object({ schema: Weather });
      const result = await generateText({ ...options, prompt: "Structured", output });

      assert.deepEqual(result.output, { city: "Paris", degrees: 21 });
    });

    test("several turns", async () => {
      const messages = [{ role: "user", content: "What is the weather?" }];
      const first = await generateText({ ...options, messages, tools, stopWhen });
      messages.push(...first.responseMessages, { role: "user", content: "What did I say first?" });
      const { text } = await generateText({ ...options, messages });

      assert.equal(text, "You said: What is the weather?");
    });

    // The chat model of @ai-sdk/openai drops it.
    const reasoning = name === "chat" ? undefined : "Let me think.";
    const remark = reasoning ? "" : ", which it leaves out";

    test(`reasoning${remark}`, async () => {
      const { text, reasoningText } = await generateText({ ...options, prompt: "Please reason." });

      assert.equal(text, "15 * 37 is 555.");
      assert.equal(reasoningText, reasoning);
    });

    test(`reasoning with a stream${remark}, and a turn after it`, async () => {
      const messages = [{ role: "user", content: "Please reason." }];
      const first = streamText({ ...options, messages });
      assert.equal(await first.reasoningText, reasoning);
      messages.push(...(await first.responseMessages), { role: "user", content: "What did I say first?" });
      const { text } = await generateText({ ...options, messages });

      assert.equal(text, "You said: Please reason.");
    });

    test("an answer that was cut", async () => {
      const { text, finishReason } = await generateText({ ...options, prompt: "Stop short" });
      const streamed = streamText({ ...options, prompt: "Stop short" });

      assert.deepEqual([text, finishReason], ["It was cut", "length"]);
      assert.deepEqual([await streamed.text, await streamed.finishReason], ["It was cut", "length"]);
    });

    test("an error before the first piece", async () => {
      const request = generateText({ ...options, prompt: "Rate limit" });

      await assert.rejects(request, (error) => APICallError.isInstance(error) && error.statusCode === 429);
    });

    test("an error in mid-stream", async () => {
      const { stream } = streamText({ ...options, prompt: "Break", onError });
      const parts = await Array.fromAsync(stream);

      const errors = parts.filter((part) => part.type === "error");
      assert.equal(errors.length, 1);
      assert.match(JSON.stringify(errors[0].error) + String(errors[0].error), /The app broke/);
    });

    test("a stream that is left is closed", async () => {
      const id = randomUUID();
      const abort = new AbortController();
      const { textStream } = streamText({ ...options, prompt: `Count on as ${id}`, abortSignal: abort.signal, onError });
      for await (const piece of textStream) {
        assert.equal(piece, "and on ");
        break;
      }
      abort.abort();

      const { text } = await generateText({ ...options, prompt: `Is ${id} closed?` });
      assert.equal(text, "It is closed.");
    });
  });
}

describe("others", () => {
  test("a second turn without store: false is refused, and the error says the way out", async () => {
    const options = { model: MODELS.responses, maxRetries: 0 };
    const messages = [{ role: "user", content: "Hello" }];
    const first = await generateText({ ...options, messages });
    messages.push(...first.responseMessages, { role: "user", content: "And on" });

    await assert.rejects(generateText({ ...options, messages }), /store/);
  });

  test("three turns with a tool loop on a server with a store", async () => {
    const asked = [];
    const stored = createOpenAI({
      baseURL: process.env.STORED_BASE_URL,
      fetch: (url, init) => {
        asked.push(...JSON.parse(init.body).input);
        return fetch(url, init);
      },
    });
    const options = { model: stored("agent"), maxRetries: 0, tools, stopWhen };
    const messages = [];
    const texts = [];
    for (const content of ["Hello", "What is the weather?", "What did I say first?"]) {
      messages.push({ role: "user", content });
      const { text, responseMessages } = await generateText({ ...options, messages });
      messages.push(...responseMessages);
      texts.push(text);
    }

    assert.match(texts[1], /The tool said: "?21 degrees in/);
    assert.deepEqual([texts[0], texts[2]], ["Hello from the agent.", "You said: Hello"]);
    assert.ok(asked.some(({ type }) => type === "item_reference"));
  });

  test("text completions", async () => {
    const { text } = await generateText({ model: openai.completion("agent"), prompt: "Hello" });

    assert.match(text, /agent/);
  });

  for (const [name, provider] of Object.entries({ openai, compatible })) {
    test(`embeddings of ${name}`, async () => {
      const { embeddings } = await embedMany({ model: provider.embeddingModel("agent"), values: ["one", "two"] });

      assert.deepEqual(embeddings, [[0.25, -0.5, 0], [0.25, -0.5, 1]]);
    });
  }
});
