"""`python -m earshot_node` is `node-cli`."""

from earshot_node.cli.main import main

main()
