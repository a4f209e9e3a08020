"""Fleet CA, enrolment, signatures and secrets."""
