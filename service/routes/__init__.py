"""The REST interface: the calls on jobs and data sets, and whether the service is well."""
