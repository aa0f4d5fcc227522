"""A Kubernetes cluster as a place to look at: credentials, lists and watches of any resource."""
