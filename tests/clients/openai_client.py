"""The server as the official `openai` package sees it. Usage: openai_client.py BASE_URL MODEL [API_KEY]

Nothing here is ours but the expectations: the package builds the requests, reads the streams and raises its own errors.
"""

import sys

import openai

BASE, MODEL = sys.argv[1], sys.argv[2]
KEY = sys.argv[3] if len(sys.argv) > 3 else "none"
client = openai.OpenAI(base_url=BASE + "/v1", api_key=KEY, max_retries=0)
HELLO = [{"role": "user", "content": "Hello"}]


def raises(kind, status, **request):
    try:
        client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **request})
    except kind as error:
        assert error.status_code == status, (error.status_code, request)
        return error
    raise AssertionError(f"{request} was accepted")


# The model list.
assert [m.id for m in client.models.list()] == [MODEL]
assert client.models.retrieve(MODEL).id == MODEL

# A whole answer, and the same one in pieces.
whole = client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0, max_tokens=16)
choice = whole.choices[0]
assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length")
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
text, usage, reasons = "", None, []
stream = client.chat.completions.create(
    model=MODEL, messages=HELLO, temperature=0, max_tokens=16, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    if chunk.usage:
        usage = chunk.usage
    for part in chunk.choices:
        text += part.delta.content or ""
        reasons += [part.finish_reason] if part.finish_reason else []
assert text == choice.message.content, (text, choice.message.content)
assert reasons == [choice.finish_reason]
assert usage.completion_tokens == whole.usage.completion_tokens

# Instructions, several samples, a seed.
system = [{"role": "system", "content": "Be brief."}] + HELLO
draws = [
    client.chat.completions.create(model=MODEL, messages=system, n=3, seed=7, temperature=1.5, max_tokens=8)
    for _ in range(2)
]
assert len(draws[0].choices) == 3
assert [c.message.content for c in draws[0].choices] == [c.message.content for c in draws[1].choices]

# How likely the tokens were.
likely = client.chat.completions.create(
    model=MODEL, messages=HELLO, temperature=0, max_tokens=8, logprobs=True, top_logprobs=5
)
entries = likely.choices[0].logprobs.content
assert entries and all(e.logprob <= 0 and len(e.top_logprobs) == 5 for e in entries)
assert all(e.top_logprobs[0].logprob >= e.top_logprobs[4].logprob for e in entries)

# The older endpoint.
old = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, temperature=0, logprobs=2)
assert old.object == "text_completion"
table = old.choices[0].logprobs  # of an empty text: empty lists
assert len(table.tokens) == len(table.token_logprobs) == len(table.text_offset) == len(table.top_logprobs)
assert (len(table.tokens) > 0) == (old.choices[0].text != ""), old
pieces = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, temperature=0, stream=True)
assert "".join(p.choices[0].text for p in pieces) == old.choices[0].text
many = client.completions.create(model=MODEL, prompt=["a", "b"], max_tokens=4)
assert [c.index for c in many.choices] == [0, 1]

# Stopping early is fine, and does not disturb the next request.
stream = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=64, temperature=1, stream=True)
next(iter(stream))
stream.close()

# Errors are the package's own, with our words.
error = raises(openai.BadRequestError, 400, temperature=3)
assert error.param == "temperature" and "from 0 to 2" in error.message, error
assert raises(openai.NotFoundError, 404, model="gpt-5").code == "model_not_found"
assert raises(openai.BadRequestError, 400, messages=[]).param == "messages"
tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
assert raises(openai.BadRequestError, 400, tools=[tool]).code == "unsupported_parameter"
if KEY != "none":
    client = openai.OpenAI(base_url=BASE + "/v1", api_key="wrong", max_retries=0)
    assert raises(openai.AuthenticationError, 401).code == "invalid_api_key"

print("openai", openai.__version__, "agrees")
