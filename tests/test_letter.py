"""The letter of a request: what it says and does not say, one printed page, signature and its check."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from run_folders import PEOPLE, PLACES, Tags, make_run

from models.requests import ledger
from results.after import letter, signing
from results.run import run_folder
from unlearning_script import main

RECEIPT = {"request": "0123456789abcdef", "received": "2026-11-20", "due": "2026-12-20", "retest_after": "90d",
           "data_hash": "hmac-sha256:" + "ab" * 32, "subjects": ["hmac-sha256:" + f"{n:02d}" * 32 for n in range(7)],
           "rows": 10, "model_before": "1" * 64, "model_after": "2" * 64, "time": "2026-11-29T10:00:00Z",
           "ledger": "ledger.jsonl", "line": 3, "hash": "3" * 64}  # fmt: skip


def finished(folder, receipt=RECEIPT, **options):
    run = make_run(folder, **options)
    (run / ledger.RECEIPT).write_text(json.dumps(receipt))
    return run


def text_of(path):
    return " ".join(" ".join(Tags(path.read_text(encoding="utf-8")).text).split())


def test_the_letter_says_what_was_done_and_what_was_not_shown(tmp_path):
    run = finished(tmp_path / "run", after={"retain": 0.5}, retrained=False)
    said = text_of(letter.write(run))
    for value in (*(str(RECEIPT[name]) for name in RECEIPT if name not in ("subjects", "retest_after")), "npo"):
        assert value in said, value
    assert RECEIPT["subjects"][0] in said and "and 3 more" in said
    for words in ("UNDECIDED (no retrained model)", "DAMAGED", "NOT RUN", "nothing is certified", "no attack was run",
                  "No test proves absence", "does not show that it is true", "evaluation_metrics.py --ledger",
                  "90d after", "still knows it", "--purge"):  # fmt: skip
        assert words in said, words
    assert "FORGOTTEN" not in said
    whole = text_of(letter.write(finished(tmp_path / "whole", after={"forget": 0.12}, attacks=True)))
    assert "nothing is certified" not in whole and "no attack was run" not in whole
    assert "FORGOTTEN" in whole and "CAME BACK" in whole and "Not passed: " in whole


def test_the_letter_names_nobody_and_runs_no_script(tmp_path):
    run = finished(tmp_path / "Mara Okonjo", resisting=6, attacks=True, config={"forget_text": "Mara lives in Vellmar"})
    path = letter.write(run)
    page = Tags(path.read_text(encoding="utf-8"))
    said = path.read_text(encoding="utf-8")
    assert not [word for word in (*PEOPLE, *PLACES, "Mara", "Vellmar", str(tmp_path)) if word in said]
    assert "script" not in page.tags and "REMEMBERS" in said
    assert not [value for tag, name, value in page.attributes if name in ("src", "href", "onload")]


def test_a_run_without_a_request_gets_no_letter(tmp_path):
    assert letter.write(make_run(tmp_path / "run")) is None and not (tmp_path / "run" / letter.NAME).exists()
    assert main([f"--letter={tmp_path / 'run'}"]) == 2


def test_every_finished_run_gets_one(small, tmp_path):
    assert main(small.flags(tmp_path / "run", "--max_steps=1", "--metrics=loss", "--received=2026-11-20")) == 0
    receipt = json.loads((tmp_path / "run" / ledger.RECEIPT).read_text())
    said = text_of(tmp_path / "run" / letter.NAME)
    for name in ("request", "received", "data_hash", "model_before", "model_after", "hash", "time"):
        assert receipt[name] in said
    rows = [json.loads(line) for line in small.data["forget"].read_text().splitlines()]
    assert receipt["rows"] == len(rows) and not [row for row in rows if row["answer"] in said or row["subject"] in said]
    (tmp_path / "run" / letter.NAME).unlink()
    assert main([f"--letter={tmp_path / 'run'}"]) == 0 and text_of(tmp_path / "run" / letter.NAME) == said


def test_it_prints_on_one_page(tmp_path):
    if not letter.browser():
        pytest.skip("no Chromium on this machine")
    run = finished(tmp_path / "run", after={"forget": 0.12}, attacks=True)
    letter.write(run, pdf=True)
    content = (run / "letter.pdf").read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", content)) == 1
    undecided = finished(tmp_path / "undecided", retrained=False)
    assert len(re.findall(rb"/Type\s*/Page\b", letter.printed(letter.write(undecided)).read_bytes())) == 1


def test_a_letter_that_cannot_be_printed_or_signed_is_refused_before_the_run(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(letter, "browser", lambda: None)
    monkeypatch.setattr("models.store.loading._load_weights", lambda *a, **k: pytest.fail("a model was loaded"))
    assert main(small.flags(tmp_path / "a", "--letter_pdf")) == 2
    assert "needs Chromium or Chrome" in capsys.readouterr().err
    assert main(small.flags(tmp_path / "b", f"--sign_with={tmp_path / 'nothing'}")) == 2
    assert "--sign_with" in capsys.readouterr().err and not (tmp_path / "b").exists()


# -- signatures


@pytest.fixture
def keys(tmp_path):
    """(private, public) files of two signers, in both formats."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ed25519

    found = []
    for number, (inner, outer, public) in enumerate((
        (s.PrivateFormat.PKCS8, s.Encoding.PEM, (s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)),
        (s.PrivateFormat.OpenSSH, s.Encoding.PEM, (s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)),
    )):  # fmt: skip
        key = ed25519.Ed25519PrivateKey.generate()
        place = tmp_path / f"key{number}"
        place.write_bytes(key.private_bytes(outer, inner, s.NoEncryption()))
        place.with_suffix(".pub").write_bytes(key.public_key().public_bytes(*public))
        found.append((str(place), str(place.with_suffix(".pub"))))
    return found


def test_a_signed_letter_is_valid_until_it_is_changed(keys, tmp_path, capsys):
    run = finished(tmp_path / "run")
    for (private, public), (_, other) in (keys, keys[::-1]):
        path = letter.write(run, key=private)
        signer, known = signing.verify(path, public)
        assert known and signing.verify(path) == (signer, False)
        assert main([f"--verify_letter={path}", f"--public_key={public}"]) == 0
        assert signer in capsys.readouterr().out
        assert main([f"--verify_letter={path}", f"--public_key={other}"]) == 3
        assert "another key" in capsys.readouterr().err
        before = path.read_text(encoding="utf-8")
        path.write_text(before.replace("REMEMBERS", "FORGOTTEN").replace("2026-11-20", "2026-11-21"), encoding="utf-8")
        assert main([f"--verify_letter={path}", f"--public_key={public}"]) == 3
        assert "was changed" in capsys.readouterr().err
        path.write_text(before, encoding="utf-8")
        assert main([f"--verify_letter={path}", f"--public_key={public}"]) == 0


def test_a_signature_of_another_file_or_none_is_refused(keys, tmp_path, capsys):
    run = finished(tmp_path / "run")
    path = letter.write(run, key=keys[0][0])
    signature = path.with_name(path.name + signing.SUFFIX)
    told = json.loads(signature.read_text())
    for changed in ({**told, "signature": "AAAA"}, {**told, "public_key": "zz"}, {}, {**told, "public_key": "00" * 32}):
        signature.write_text(json.dumps(changed))
        assert main([f"--verify_letter={path}"]) == 3
    signature.unlink()
    assert main([f"--verify_letter={path}"]) == 3
    assert main([f"--verify_letter={tmp_path / 'nothing'}"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_keys_that_cannot_sign_are_named(keys, tmp_path):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    hidden = s.BestAvailableEncryption(b"word")
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, hidden)
    (tmp_path / "locked").write_bytes(locked)
    if shutil.which("ssh-keygen"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a word", "-f", tmp_path / "locked-ssh"]
        subprocess.run(command, check=True)
    for path in tmp_path.glob("locked*"):
        if path.suffix != ".pub":
            with pytest.raises(run_folder.UsageError, match="passphrase"):
                signing.load(str(path))
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key").write_bytes(other.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    for path in (tmp_path / "key", keys[0][1]):
        with pytest.raises(run_folder.UsageError, match="no ed25519 private key"):
            signing.load(str(path))


def test_openssl_agrees(keys, tmp_path):
    """The signature is of the file's bytes, so other programs can check it."""
    import base64

    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    path = letter.write(finished(tmp_path / "run"), key=keys[0][0])
    told = json.loads(path.with_name(path.name + signing.SUFFIX).read_text())
    (tmp_path / "raw").write_bytes(base64.b64decode(told["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", keys[0][1], "-rawin", "-in", path, "-sigfile",
               tmp_path / "raw"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    Path(path).write_text("another")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
