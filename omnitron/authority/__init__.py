"""Authority: whose word root takes. Every decision of who may act as whom is made here."""
