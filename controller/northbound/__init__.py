"""Layer 3, the gRPC surface: requests in, answers out.

    request -> interceptors (log, metrics, errors, token) -> servicer -> convert/masks/pages/filters -> service.Engine
    answer  <- render <- snapshot + status

Knows messages, tokens and gRPC codes.  Decides nothing about networks: what may exist is for intent and service to say.
"""
