// Walks through a plan with a connected client; prints what it saw as JSON.
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function called(client, step) {
  for (let tries = 0; ; tries++) {
    const answer = await client.callTool({ name: step.tool, arguments: step.arguments });
    const text = answer.content[0].text;
    if (tries < 100 && step.code === null && answer.isError && text.endsWith("[not_possible_now]"))
      await pause(100);
    else return { tool: step.tool, error: answer.isError === true, text, data: answer.structuredContent ?? null };
  }
}

export async function walk(text, client, Transport) {
  const plan = JSON.parse(text);
  const [command, ...args] = plan.argv;
  await client.connect(new Transport({ command, args, env: plan.env, stderr: "ignore" }));
  const listed = (await client.listTools()).tools.map((tool) => tool.name);
  const prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  const templates = (await client.listResourceTemplates()).resourceTemplates.map((each) => each.uriTemplate);
  const answers = [];
  for (const step of plan.steps) answers.push(await called(client, step));
  const resources = [];
  for (const uri of plan.resources) resources.push((await client.readResource({ uri })).contents[0].text);
  await client.close();
  console.log(JSON.stringify({ listed, prompts, templates, answers, resources }));
}
