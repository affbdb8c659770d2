"""The chat template and the picture-token expansion, as strings; they equal what Idefics3Processor makes (test_export.py checks)."""

SEQ_LEN = 9  # picture tokens a frame
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}"
    "{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def picture(rows=0, cols=0):
    fake, image = "<fake_token_around_image>", "<image>" * SEQ_LEN
    tiles = "".join("".join(f"{fake}<row_{r + 1}_col_{c + 1}>{image}" for c in range(cols)) + "\n" for r in range(rows))
    return f"{tiles}{chr(10) if rows else ''}{fake}<global-img>{image}{fake}"


def opening(pictures, system=None, question_first=None):
    """Everything before the first question; with `question_first` the text stands before the pictures."""
    start = "<|im_start|>" + (f"System: {system}<end_of_utterance>\n" if system else "")
    if question_first is not None:
        return f"{start}User: {question_first}{''.join(pictures)}"
    return f"{start}User:{''.join(pictures)}" if pictures else f"{start}User: "


ASK = "<end_of_utterance>\nAssistant:"
END = "<end_of_utterance>"
NEXT = "\nUser: "
