"""`python -m earshot_trainer` is `trainer-cli`; `torchrun -m earshot_trainer train ...` trains in several processes."""

from earshot_trainer.cli.main import main

if __name__ == "__main__":
    main()
