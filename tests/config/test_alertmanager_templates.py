"""Files of templates in Alertmanager's configuration."""

from pathlib import Path

import pytest

from nissa.config.alertmanager_file import read_alertmanager_file
from nissa.config.alertmanager_templates import BYTES_MAX, FILES_MAX
from nissa.model.errors import ConfigInvalid


def written(folder: Path, templates: str = "[texts/*.tmpl]") -> Path:
    """A configuration with two files of templates."""
    (folder / "texts").mkdir(exist_ok=True)
    for name in ("b", "a"):
        (folder / "texts" / f"{name}.tmpl").write_text(f'{{{{ define "{name}" }}}}é{{{{ end }}}}')
    path = folder / "am.yml"
    path.write_text(f"route: {{receiver: r}}\ntemplates: {templates}\nreceivers: [{{name: r}}]\n")
    return path


@pytest.mark.parametrize("templates", ["[texts/*.tmpl]", "[FOLDER/texts/a.tmpl, texts/b*]", "texts/*"])
def test_files_are_read_in_order(tmp_path: Path, templates: str) -> None:
    """Patterns are relative to the configuration, or absolute."""
    read = read_alertmanager_file(written(tmp_path, templates.replace("FOLDER", str(tmp_path))))
    assert [file.path.name for file in read.texts] == ["a.tmpl", "b.tmpl"]
    assert (read.texts[0].text, read.warnings) == ('{{ define "a" }}é{{ end }}', ())


def test_patterns_without_a_file_and_with_too_many(tmp_path: Path) -> None:
    """The first is a warning, as it is no fault of Alertmanager's; the number is bounded."""
    (warning,) = read_alertmanager_file(written(tmp_path, "[none/*.tmpl]")).warnings
    assert warning.endswith("am.yml, line 2: templates[0]: none/*.tmpl matches no file")
    for number in range(FILES_MAX):
        (tmp_path / "texts" / f"{number}.tmpl").touch()
    with pytest.raises(ConfigInvalid, match=r"am\.yml, line 2: templates\[0\]: .* match over 100 files"):
        read_alertmanager_file(written(tmp_path))
    with pytest.raises(ConfigInvalid, match=r"line 2: templates: expected a list of files"):
        read_alertmanager_file(written(tmp_path, "{a: b}"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """They are refused with their path."""
    path = written(tmp_path)
    for content, what in ((b"a\n\xff", "line 2: is not UTF-8"), (b"x" * (BYTES_MAX + 1), "over 1048576 bytes")):
        (tmp_path / "texts" / "a.tmpl").write_bytes(content)
        with pytest.raises(ConfigInvalid, match=rf"am\.yml, line 2: templates\[0\]: .*a\.tmpl.* ?{what}"):
            read_alertmanager_file(path)
