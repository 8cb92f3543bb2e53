"""Renders chat templates with Hugging Face's Jinja2, for a comparison with ours.

usage: templates.py FOLDER OUT.json      FOLDER holds *.jinja, such as trl/chat_templates of the wheel `trl`

Needs transformers and jinja2 (PyPI). OUT.json is what the test `chat_templates::templates_of_the_wild` reads.
"""

import datetime
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

DAY = datetime.datetime(2026, 1, 1)


def render(source, content):
    template = _compile_jinja_template(source)
    template.globals["strftime_now"] = DAY.strftime
    messages = [{"role": "user", "content": content}]
    return template.render(
        messages=messages, add_generation_prompt=True, bos_token="", eos_token="<|end|>", enable_thinking=False
    )


def main():
    folder, out = sys.argv[1:]
    cases = []
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        case = {"name": path.name, "template": path.read_text()}
        # As ours: a list of parts where a text is left out.
        for content in ("a question", [{"type": "text", "text": "a question"}]):
            try:
                rendered = render(case["template"], content)
            except Exception as e:  # The template's own refusal, whatever its type.
                case.setdefault("error", f"{type(e).__name__}: {e}")
                continue
            if "a question" in rendered:
                case["rendered"] = rendered
                break
        if "rendered" in case:
            cases.append(case)
        else:
            print(path.name, "is left out:", case.get("error"))
    pathlib.Path(out).write_text(json.dumps(cases, indent=1))
    print(len(cases), "templates rendered by Jinja2")


main()
