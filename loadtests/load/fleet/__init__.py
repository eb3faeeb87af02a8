"""Several load generators as one: Locust's workers under its master, on this machine or on others. Imported
by nothing: started; imports `loadtests.load` and its rooms."""
