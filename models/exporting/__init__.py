"""Exporting: a saved model as files for other programs, and its way to the Hugging Face hub.

In: GGUF by llama.cpp's converter, Ollama's Modelfile, uploads. Not here: the model folder itself (models/store).
"""
