"""`python -m vqdna`, which is also what `torchrun -m vqdna` starts."""

from vqdna.cli import main

main()
