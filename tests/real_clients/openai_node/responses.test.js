import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
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
const tools = [{ type: "function", name: "get_weather", parameters, strict: true }];

test("create", async () => {
  const response = await client.responses.create({ model, input: "Hello" });

  assert.equal(response.output_text, "Hello from the agent.");
  assert.equal(response.status, "completed");
  assert.equal(response.usage.total_tokens, 18);
});

test("create with a stream", async () => {
  const events = await Array.fromAsync(await client.responses.create({ model, input: "Hello", stream: true }));

  const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
  assert.deepEqual(deltas, ["Hello ", "from ", "the ", "agent."]);
  assert.equal(events.at(-1).type, "response.completed");
});

test("the stream helper", async () => {
  const stream = client.responses.stream({ model, input: "Hello" });
  const deltas = [];
  stream.on("response.output_text.delta", (event) => deltas.push(event.delta));
  const response = await stream.finalResponse();

  assert.equal(response.output_text, "Hello from the agent.");
  assert.deepEqual(deltas, ["Hello ", "from ", "the ", "agent."]);
});

test("a tool loop with the stream helper", async () => {
  const input = [{ role: "user", content: "What is the weather?" }];
  const first = await client.responses.stream({ model, input, tools }).finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  assert.deepEqual([call.name, JSON.parse(call.arguments)], ["get_weather", { city: "Paris" }]);

  const result = { type: "function_call_output", call_id: call.call_id, output: "21 degrees" };
  const second = await client.responses.create({ model, input: [...input, ...first.output, result], tools });

  assert.equal(second.output_text, "The tool said: 21 degrees");
});

test("parse", async () => {
  const text = { format: zodTextFormat(Weather, "weather") };
  const response = await client.responses.parse({ model, input: "Structured", text });

  assert.deepEqual(response.output_parsed, { city: "Paris", degrees: 21 });
});

test("the stream helper with a format", async () => {
  const text = { format: zodTextFormat(Weather, "weather") };
  const response = await client.responses.stream({ model, input: "Structured", text }).finalResponse();

  assert.deepEqual(response.output_parsed, { city: "Paris", degrees: 21 });
});

test("reasoning with the stream helper", async () => {
  const response = await client.responses.stream({ model, input: "Please reason." }).finalResponse();

  assert.deepEqual(response.output.map((item) => item.type), ["reasoning", "message"]);
  assert.equal(response.output[0].summary[0].text, "Let me think.");
});

test("a refusal with the stream helper", async () => {
  const response = await client.responses.stream({ model, input: "Refuse" }).finalResponse();

  assert.equal(response.output[0].content[0].refusal, "I cannot help with that.");
});

test("several turns", async () => {
  const input = [{ role: "user", content: "Hello" }];
  const first = await client.responses.create({ model, input, store: false });
  input.push(...first.output, { role: "user", content: "What did I say first?" });
  const second = await client.responses.create({ model, input, store: false });

  assert.equal(second.output_text, "You said: Hello");
});

test("an answer that was cut", async () => {
  const response = await client.responses.stream({ model, input: "Stop short" }).finalResponse();

  assert.deepEqual([response.status, response.output_text], ["incomplete", "It was cut"]);
  assert.equal(response.incomplete_details.reason, "max_output_tokens");
});

for (const stream of [false, true]) {
  test(`an error before the first piece${stream ? " of a stream" : ""}`, async () => {
    const request = client.responses.create({ model, input: "Rate limit", stream });

    await assert.rejects(request, (error) => error instanceof OpenAI.RateLimitError && /Slow down/.test(error.message));
  });
}

test("an error in mid-stream", async () => {
  const stream = await client.responses.create({ model, input: "Break", stream: true });

  await assert.rejects(Array.fromAsync(stream), /The app broke/);
});

test("a stream that is left is closed", async () => {
  const name = randomUUID();
  const stream = await client.responses.create({ model, input: `Count on as ${name}`, stream: true });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") break;
  }

  const response = await client.responses.create({ model, input: `Is ${name} closed?` });
  assert.equal(response.output_text, "It is closed.");
});
