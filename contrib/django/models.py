"""No models. Only to an application that has this module, Django tells the end of `migrate`."""
