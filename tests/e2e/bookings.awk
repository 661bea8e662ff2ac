# Bookings whose cancellation can be foreseen, in the form of the real file: the same ones every time.
# usage: awk -v rows=3000 -f bookings.awk
BEGIN {
	srand(7)
	print "hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_week_number,arrival_date_day_of_month,stays_in_weekend_nights,stays_in_week_nights,adults,children,babies,meal,country,market_segment,distribution_channel,is_repeated_guest,previous_cancellations,previous_bookings_not_canceled,reserved_room_type,assigned_room_type,booking_changes,deposit_type,agent,company,days_in_waiting_list,customer_type,adr,required_car_parking_spaces,total_of_special_requests,reservation_status,reservation_status_date"
	split("January February March April May June July August September October November December", name, " ")
	for (i = 0; i < rows; i++) {
		at = 1435708800 + int(i * 1000 / rows) * 86400
		split(strftime("%Y %m %d", at, 1), d, " ")
		lead = 1 + int(rand() * 365)
		late = int((at - 1503878400) / 86400) # all are made by the end of August 2017
		if (lead <= late)
			lead = late + 1 + int(rand() * 100)
		kept = rand() < 0.4
		gone = rand() < (kept ? 0.92 : 0.08)
		over = gone ? at - int(rand() * lead) * 86400 : at + 2 * 86400
		printf "City Hotel,%d,%d,%d,%s,%d,%d,0,2,2,0,0,BB,PRT,Online TA,TA/TO,0,0,0,A,A,0,%s,9,NULL,0,Transient,%d.5,0,%d,%s,%s\n",
			gone, lead, d[1], name[d[2] + 0], 1 + int(d[2] * 4), d[3], kept ? "Non Refund" : "No Deposit", 60 + int(rand() * 90), int(rand() * 3),
			gone ? "Canceled" : "Check-Out", strftime("%Y-%m-%d", over, 1)
	}
}
