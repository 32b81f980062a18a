// Text completions, embeddings and models.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const model = "agent";

test("a text completion", async () => {
  const completion = await client.completions.create({ model, prompt: "Hello" });

  assert.equal(completion.choices[0].text, "Hello from the agent.");
});

test("a text completion with a stream", async () => {
  const chunks = await Array.fromAsync(await client.completions.create({ model, prompt: "Hello", stream: true }));

  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), "Hello from the agent.");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
});

for (const encoding_format of [undefined, "float"]) {
  test(`embeddings in ${encoding_format ?? "base64, the default"}`, async () => {
    const answer = await client.embeddings.create({ model, input: ["one", "two"], encoding_format });

    assert.deepEqual(answer.data.map((item) => item.embedding), [[0.25, -0.5, 0], [0.25, -0.5, 1]]);
  });
}

test("models", async () => {
  const models = await Array.fromAsync(client.models.list());

  assert.deepEqual(models.map((one) => one.id), ["agent", "gpt-5-x"]);
});

test("a model", async () => {
  assert.equal((await client.models.retrieve("agent")).id, "agent");
  await assert.rejects(client.models.retrieve("none"), OpenAI.NotFoundError);
});
