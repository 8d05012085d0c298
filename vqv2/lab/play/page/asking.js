// Asking the server: one answer, or a stream of events. What cannot be done is thrown as a sentence.

export class Problem extends Error {}

async function post(path, body, signal) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, { method: "POST", body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("vqv2 play does not answer: is it still running in its terminal?");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Problem(told.problem ?? `the server answered ${answer.status}`);
  }
  return answer;
}

export async function ask(path, request = {}) {
  return (await post(path, JSON.stringify(request))).json();
}

export async function send(path, file) {
  return (await post(path, file)).json();
}

// Calls tell(event, data) for each server-sent event until the stream ends or `signal` aborts it.
export async function follow(path, request, tell, signal) {
  const answer = await post(path, JSON.stringify(request), signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = (rest + value).split("\n\n");
    rest = messages.pop();
    for (const message of messages) {
      const [event, data] = message.split("\n").map((line) => line.slice(line.indexOf(" ") + 1));
      const told = JSON.parse(data);
      if (event === "problem") throw new Problem(told.problem);
      tell(event, told);
    }
  }
}
