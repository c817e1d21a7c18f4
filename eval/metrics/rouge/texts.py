"""What the text metrics share: checked rows, tokens, Java.

`evaluate.load` copies a metric with the files that it imports from its own folder and with no others, so this file
lies in the folder of each text metric; a test holds the copies equal.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer


PTB_JAR = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)
LINE_BREAK = re.compile("[\n\r\v\f\x85\u2028\u2029]")  # of the PTB tokenizer, which reads one text a line
JAVA_TIMEOUT_S = 600.0  # METEOR reads its paraphrase table first: seconds, or minutes on a busy machine
JAVA_TIMEOUT_S_PER_TEXT = 0.5


class TextRows:
    """Rows of one prediction and one or several references, checked as they come in."""

    def add_batch(self, *, predictions, references):
        """Add rows; see `compute`."""
        super().add_batch(predictions=predictions, references=check_rows(predictions, references))

    def add(self, *, prediction, reference):
        """Add a row; see `compute`."""
        self.add_batch(predictions=[prediction], references=[reference])


def check_rows(predictions: list[str], references: list[str | list[str]]) -> list[list[str]]:
    """The references, as a list in every row; `ValueError` where rows cannot be compared."""
    for name, texts in (("predictions", predictions), ("references", references)):
        if texts is None or isinstance(texts, str):
            raise ValueError(f"`{name}` must be a list with an entry for each row, got {texts!r:.80}.")
    if len(predictions) != len(references):
        raise ValueError(
            f"Got {len(predictions)} predictions and {len(references)} rows of references. Pass one of each for a row."
        )
    if not len(predictions):
        raise ValueError("Got no rows, expected at least one. Pass a prediction and its references for each.")
    rows = [[row] if isinstance(row, str) else row for row in references]
    for row, (prediction, texts) in enumerate(zip(predictions, rows)):
        if not isinstance(prediction, str):
            raise ValueError(f"predictions[{row}] must be a text, got {prediction!r:.80}. Pass an empty one for none.")
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"references[{row}] must be a text or a list of texts, got {texts!r:.80}.")
        if not texts:
            raise ValueError(f"references[{row}] is empty, expected at least one text. Add it or leave the row out.")
    return rows


def tokenize(predictions: list[str], references: list[list[str]], tokenizer: str) -> tuple[list[str], list[list[str]]]:
    """Predictions and references as texts whose tokens are separated by spaces.

    Args:
        predictions (`list[str]`): One text a row.
        references (`list[list[str]]`): One or several texts a row.
        tokenizer (`str`): "ptb", as pycocoevalcap does, or "whitespace", which leaves the texts as they are.
    """
    if tokenizer == "whitespace":
        return predictions, references
    if tokenizer != "ptb":
        raise ValueError(f"`tokenizer` must be 'ptb' or 'whitespace', got {tokenizer!r}.")
    require_java("PTB tokenisation", ' or pass tokenizer="whitespace"')
    tokens = iter(_ptb([text for row in references for text in row]))
    return _ptb(predictions), [[next(tokens) for _ in row] for row in references]


def _ptb(texts: list[str]) -> list[str]:
    """Lower case Penn Treebank tokens without punctuation; jar, options and order of lines are pycocoevalcap's."""
    lines = "\n".join(LINE_BREAK.sub(" ", text) for text in texts)
    command = ["-cp", str(PTB_JAR), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    output = run_java("PTB tokenisation", [*command, "texts"], {"texts": lines}, len(texts)).split("\n")
    if len(output) != len(texts):
        raise RuntimeError(
            f"PTB tokenisation: Java gave {len(output)} lines for {len(texts)} texts. "
            "Check that `java -version` works."
        )
    return [" ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATION) for line in output]


def require_java(wanted: str, otherwise: str = "") -> None:
    """Raise `ImportError` where no Java is on the PATH; `otherwise` says what else the user can do."""
    if shutil.which("java") is None:
        raise ImportError(
            f"{wanted} needs Java, and there is no `java` on the PATH. "
            f"Install a Java runtime (on Debian: default-jre-headless){otherwise}."
        )


def run_java(
    wanted: str, command: list[str], files: dict[str, str], num_texts: int, timeout_s: float | None = None
) -> str:
    """Run Java on files, and never wait longer than the time limit.

    Args:
        wanted (`str`): What Java is for, said in errors.
        command (`list[str]`): What follows `java` and the options every run has.
        files (`dict[str, str]`): Name and content of each file in the temporary folder where it runs.
        num_texts (`int`): How many texts there are.
        timeout_s (`float`, *optional*): The time limit; 600 s and half a second for each text by default.

    Returns:
        `str`: What Java printed.
    """
    if timeout_s is None:
        timeout_s = JAVA_TIMEOUT_S + JAVA_TIMEOUT_S_PER_TEXT * num_texts
    # In a Turkish locale METEOR would lower "I" to a dotless "i"
    command = ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-Duser.language=en", *command]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content.encode())
        try:
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"{wanted}: Java took longer than {timeout_s:g} s for {num_texts} texts and was stopped. "
                "Pass fewer or shorter texts, or free the machine."
            ) from None
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if "rror" in line or "xception" in line]
        raise RuntimeError(
            f"{wanted}: Java ended with code {done.returncode} ({reasons[0] if reasons else 'it gave no reason'}). "
            "Check that `java -version` works and that 2 GB of memory are free."
        )
    return done.stdout
