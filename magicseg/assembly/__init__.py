"""From a configuration to a network: built anew, or as a run left it, if the configuration may be trusted."""
