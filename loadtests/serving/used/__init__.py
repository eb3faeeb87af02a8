"""What an arm uses besides the modules it imports: files beside its code, packages of its interpreter.
Imported by `loadtests.serving` and `loadtests.measure`."""
