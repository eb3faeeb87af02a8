"""What an arm uses besides the modules it imports: the files beside its code.
Imported by `loadtests.serving` and `loadtests.measure`."""
