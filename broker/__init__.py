"""WHAT A TURN DOES with each kind of mail. One file a subject; the JobBroker takes the turns and lets things out."""
