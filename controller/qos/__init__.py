"""Quality of service.  Pure: who may have how much; not how a switch is made to keep to it.

    hose          what guarantees need of each link, whoever talks to whom
    ledger        who claims how much of what, and whether one more claim fits
    degrade       who keeps how much when claims do not fit any more
    incidence     which aggregate crosses which resource
    waterfill     one kind of bandwidth shared out, weighted max-min
    classes       guarantees first, then what is spare, class by class
    allocation    aggregates that come, change and go, and what each is allotted
    steps         how shares of one total change without ever exceeding it
    schedule      which rates a policy puts in force when
"""
