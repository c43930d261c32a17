"""`make golden`: rewrite the golden files and docs/pipeline.md.  Review reads the diff."""

from __future__ import annotations

from tests.golden.files import expected

for path, content in expected().items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    print(f"wrote {path}")
