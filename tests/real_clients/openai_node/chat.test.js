import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ maxRetries: 0 });
const model = "agent";
const Weather = z.object({ city: z.string(), degrees: z.number() });
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tool = { type: "function", function: { name: "get_weather", parameters, strict: true } };

const ask = (content) => [{ role: "user", content }];

test("create", async () => {
  const completion = await client.chat.completions.create({ model, messages: ask("Hello") });

  assert.equal(completion.choices[0].message.content, "Hello from the agent.");
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.equal(completion.usage.total_tokens, 18);
});

test("create with a stream", async () => {
  const stream_options = { include_usage: true };
  const stream = await client.chat.completions.create({ model, messages: ask("Hello"), stream: true, stream_options });
  const chunks = await Array.fromAsync(stream);

  const pieces = chunks.map((chunk) => chunk.choices[0]?.delta.content).filter(Boolean);
  assert.deepEqual(pieces, ["Hello ", "from ", "the ", "agent."]);
  assert.equal(chunks.at(-1).usage.total_tokens, 18);
});

test("the stream helper", async () => {
  const stream = client.chat.completions.stream({ model, messages: ask("Hello") });
  const deltas = [];
  stream.on("content", (delta) => deltas.push(delta));

  assert.equal(await stream.finalContent(), "Hello from the agent.");
  assert.deepEqual(deltas.filter(Boolean), ["Hello ", "from ", "the ", "agent."]);
});

test("the stream helper with a tool call", async () => {
  const stream = client.chat.completions.stream({ model, messages: ask("The weather?"), tools: [tool] });
  const done = [];
  stream.on("tool_calls.function.arguments.done", (call) => done.push([call.name, call.arguments]));
  const completion = await stream.finalChatCompletion();

  assert.deepEqual(done.map(([name, text]) => [name, JSON.parse(text)]), [["get_weather", { city: "Paris" }]]);
  assert.equal(completion.choices[0].finish_reason, "tool_calls");
});

for (const stream of [false, true]) {
  test(`runTools${stream ? " with a stream" : ""}`, async () => {
    const asked = [];
    const getWeather = {
      name: "get_weather",
      parameters,
      parse: JSON.parse,
      function: ({ city }) => {
        asked.push(city);
        return `21 degrees in ${city}`;
      },
    };
    const tools = [{ type: "function", function: getWeather }];
    const runner = client.chat.completions.runTools({ model, messages: ask("What is the weather?"), tools, stream });

    assert.equal(await runner.finalContent(), "The tool said: 21 degrees in Paris");
    assert.deepEqual(asked, ["Paris"]);
  });
}

test("parse", async () => {
  const response_format = zodResponseFormat(Weather, "weather");
  const completion = await client.chat.completions.parse({ model, messages: ask("Structured"), response_format });

  assert.deepEqual(completion.choices[0].message.parsed, { city: "Paris", degrees: 21 });
});

test("the stream helper with a format", async () => {
  const response_format = zodResponseFormat(Weather, "weather");
  const stream = client.chat.completions.stream({ model, messages: ask("Structured"), response_format });
  const completion = await stream.finalChatCompletion();

  assert.deepEqual(completion.choices[0].message.parsed, { city: "Paris", degrees: 21 });
});

test("reasoning", async () => {
  const completion = await client.chat.completions.create({ model, messages: ask("Please reason.") });

  assert.equal(completion.choices[0].message.reasoning_content, "Let me think.");
  assert.equal(completion.choices[0].message.content, "15 * 37 is 555.");
});

test("a refusal", async () => {
  const stream = client.chat.completions.stream({ model, messages: ask("Refuse") });
  const completion = await stream.finalChatCompletion();

  assert.equal(completion.choices[0].message.refusal, "I cannot help with that.");
});

test("an answer that was cut", async () => {
  const stream = client.chat.completions.stream({ model, messages: ask("Stop short") });
  const completion = await stream.finalChatCompletion();

  assert.equal(completion.choices[0].message.content, "It was cut");
  assert.equal(completion.choices[0].finish_reason, "length");
});

for (const stream of [false, true]) {
  test(`an error before the first piece${stream ? " of a stream" : ""}`, async () => {
    const request = client.chat.completions.create({ model, messages: ask("Rate limit"), stream });

    await assert.rejects(request, (error) => error instanceof OpenAI.RateLimitError && /Slow down/.test(error.message));
  });
}

test("an error in mid-stream", async () => {
  const stream = await client.chat.completions.create({ model, messages: ask("Break"), stream: true });

  await assert.rejects(Array.fromAsync(stream), /The app broke/);
});

test("a stream that is left is closed", async () => {
  const name = randomUUID();
  const stream = await client.chat.completions.create({ model, messages: ask(`Count on as ${name}`), stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }

  const completion = await client.chat.completions.create({ model, messages: ask(`Is ${name} closed?`) });
  assert.equal(completion.choices[0].message.content, "It is closed.");
});
