"""The annotation engine (paper, section 3.2 and appendix A): from a folder of videos to instructions, in five steps
over one work folder. `python -m hivau70k_dataset annotate --help`; the guide is docs/annotate.md."""
