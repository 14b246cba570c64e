"""What others do of the same work: the peers that benches run beside us."""
