"""Corpora for calibration and fidelity: their sources, contamination checks and token sequences.

To add a source of documents, add a module NAME_corpus.py that sets SOURCE to a `CorpusSource`, and
its settings to `codewatt.config.corpus_settings`.
"""
