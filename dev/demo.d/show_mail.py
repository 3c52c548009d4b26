"""Prints who, what and the text of a mail, and writes its page, charts and JSON into a folder."""

import email
import email.policy
import pathlib
import sys

message = email.message_from_bytes(pathlib.Path(sys.argv[1]).read_bytes(), policy=email.policy.default)
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)

for name in ("From", "To", "Subject"):
    print(f"{name}: {message[name]}")
print()
page, pictures = "", {}
for number, part in enumerate(message.walk()):
    kind = part.get_content_type()
    if kind == "text/plain" and not part.is_attachment():
        print(part.get_content())
    elif kind == "text/html":
        page = part.get_content()
    elif kind == "image/png":
        name = f"chart-{number}.png"
        (folder / name).write_bytes(part.get_content())
        pictures[part["Content-ID"].strip("<>")] = name
    elif kind == "application/json":
        (folder / "report.json").write_bytes(part.get_payload(decode=True))
for content_id, name in pictures.items():
    page = page.replace(f"cid:{content_id}", name)
(folder / "report.html").write_text(page, encoding="utf-8")
print(f"The page, {len(pictures)} charts and the JSON are in {folder}")
